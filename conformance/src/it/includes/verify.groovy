['Leaf', 'MainCommands', 'LeftCommands', 'RightCommands', 'LeftArguments', 'Introspection'].each {
    assert new File(basedir, "target/elsewhere/inc/${it}.java").isFile()
}
assert new File(basedir, 'build.log').text.contains('from 4 schema files')
