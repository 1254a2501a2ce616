def exists(path) { assert new File(basedir, path).isFile() : path + ' is missing' }
exists('target/generated-sources/lockstep/shop/api/Kettle.java')
exists('target/generated-test-sources/lockstep/shop/api/Kettle.java')
exists('target/classes/shop/Shop.class')
exists('target/classes/shop/api/ShopCommands.class')
exists('target/test-classes/shop/ShopUser.class')
def log = new File(basedir, 'build.log').text
assert !log.contains('WARNING')
assert log.count('Nothing changed since the last generation.') == 2
assert log.contains('markDeprecated (Default: true)')
