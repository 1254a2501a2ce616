// The schema is QEMU's and not part of this repository.
def tree = System.getProperty('qemu.source')
if (!tree || !new File(tree, 'qapi/qapi-schema.json').isFile()) {
    println 'qemu-tree is skipped: -Dqemu.source=DIRECTORY names no unpacked QEMU source tree'
    return false
}
return true
