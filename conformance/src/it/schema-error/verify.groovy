def log = new File(basedir, 'build.log').text
assert log =~ /In file included from \S*main.json:1:/
assert log =~ /part.json: In struct 'First':/
assert log =~ /part.json:1: .*unknown type 'Nothing'/
assert log =~ /part.json:2: .*unknown type 'Nowhere'/
assert log.contains('has 2 error(s)')
assert !new File(basedir, 'target/generated-sources/lockstep').exists()
