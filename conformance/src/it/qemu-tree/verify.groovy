assert new File(basedir, 'target/classes/qemu/api/BlockdevOptions.class').isFile()
assert new File(basedir, 'target/classes/qemu/api/MigrationCommands.class').isFile()
