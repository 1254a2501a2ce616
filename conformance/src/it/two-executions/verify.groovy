assert new File(basedir, 'target/generated-sources/lockstep/one/Thing.java').isFile()
assert new File(basedir, 'target/generated-sources/lockstep/two/Thing.java').isFile()
def log = new File(basedir, 'build.log').text
assert log.count(' files from 1 schema files') == 2
assert log.count('Nothing changed since the last generation.') == 2
