def file(path) { new File(basedir, 'target/generated-sources/lockstep/' + path) }
assert !file('none/Aa.java').exists()
assert !file('none/Bb.java').exists()
assert !file('none/SCommands.java').text.contains('void use(')
assert !file('none/Introspection.java').text.contains('use')
assert file('some/Aa.java').text.contains('Bb maybe')
assert file('some/SCommands.java').text.contains('void use(Aa arguments)')
assert file('some/Introspection.java').text.contains('use')
assert !file('skipped').exists()
