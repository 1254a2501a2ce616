def java = new File(basedir, 'target/generated-sources/lockstep/inc')
assert new File(java, 'Stays.java').text.contains('record Stays')
assert new File(java, 'Comes.java').isFile()
assert !new File(java, 'Leaves.java').exists()
assert !new File(java, 'package-info.java').text.contains('@')
def runs = new File(basedir, 'build.log').readLines().findAll { it =~ /Nothing changed since|files from 2 schema files/ }
assert runs.collect { it.contains('Nothing') } == [false, true, false, false, false]
