package lockstep.conformance;

import org.junit.jupiter.api.Test;

/** Kinds of images beside {@code qemu-img}: each program reads, checks and changes what the other has made. */
class ImageFormatsTest extends BesideQemuImg {
    @Test
    void compressesWithZstandard() throws Exception {
        both(
                """
                create -f qcow2 -o compat=0.10,compression_type=zstd a 1M
                create -f qcow2 -o compression_type=lzo a 1M
                create -f qcow2 -o compression_type=zstd a 1M
                info a
                qemu-img convert -c -O qcow2 -o compression_type=zstd /usr/bin/qemu-img theirs
                compare -f raw /usr/bin/qemu-img theirs
                qemu-img convert -c -O qcow2 -o compression_type=zstd,cluster_size=512 /usr/bin/qemu-img small
                compare -f raw /usr/bin/qemu-img small
                convert -c -O qcow2 -o compression_type=zstd /usr/bin/qemu-img ours
                qemu-img compare -f raw /usr/bin/qemu-img ours
                qemu-img check ours
                check ours
                convert -c -O qcow2 -o compression_type=zstd,cluster_size=2M /usr/bin/qemu-img large
                qemu-img compare -f raw /usr/bin/qemu-img large
                qemu-io -c write~-P9~100k~70k ours
                qemu-img check ours
                compare ours theirs
                """);
    }
}
