package lockstep.conformance;

import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.nio.file.Files;

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

    /** Makes an image in both folders; QEMU refuses to when it cannot measure how fast it hashes. */
    private void make(String program, String line) throws Exception {
        String said = "";
        for (int i = 0; i < 20 && !said.startsWith("0"); i++) {
            said = run(theirs, program, line);
        }
        assertTrue(said.startsWith("0"), said);
        String name = line.split(" ")[line.split(" ").length - 2];
        Files.copy(theirs.resolve(name), ours.resolve(name));
    }

    @Test
    void encrypts() throws Exception {
        String secret = "--object secret,id=s,data=letmein ";
        String open = "driver=qcow2,encrypt.key-secret=s,file.filename=";
        String luks = "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10";
        make(QEMU, "create -q " + secret + "-f qcow2 -o " + luks + " theirs 8M");
        make(launcher(), "create -q " + secret + "-f qcow2 -o " + luks + " ours 8M");
        String essiv =
                ",encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv,encrypt.hash-alg=sha512"
                        + ",encrypt.cipher-alg=aes-128,cluster_size=4k ";
        make(QEMU, "create -q " + secret + "-f qcow2 -o " + luks + essiv + "theirs2 8M");
        make(launcher(), "create -q " + secret + "-f qcow2 -o " + luks + essiv + "ours2 8M");
        make(QEMU, "create -q " + secret + "-f luks -o key-secret=s,iter-time=10 theirs3 8M");
        make(launcher(), "create -q " + secret + "-f luks -o key-secret=s,iter-time=10 ours3 8M");
        both(
                """
                create -f qcow2 -o encrypt.format=luks e 8M
                create -f qcow2 -o encrypt.format=luks,encrypt.key-secret=x e 8M
                create -f qcow2 -o encrypt.format=foo,encrypt.key-secret=x e 8M
                create SECRET-f qcow2 -o encrypt.key-secret=s e 8M
                create SECRET-f qcow2 -o encryption=on,encrypt.format=luks,encrypt.key-secret=s e 8M
                create SECRET-f qcow2 -o encrypt.format=luks,encrypt.key-secret=s,encrypt.cipher-alg=foo e 8M
                create -f luks e 8M
                create SECRET-f qcow2 -o encrypt.format=aes,encrypt.key-secret=s aes 8M
                info aes
                info theirs
                info --output=json ours2
                info theirs3
                compare theirs ours
                compare SECRET--image-opts OPENtheirs,encrypt.format=aes OPENours
                compare --object secret,id=s,data=wrong --image-opts OPENtheirs OPENours
                qemu-img create -q -f qcow2 plain 8M
                map SECRET--image-opts OPENplain,encrypt.format=luks
                convert -c SECRET-O qcow2 -o encrypt.format=luks,encrypt.key-secret=s plain e
                qemu-io -c write~-P7~1M~3M -c write~-P8~6M~70k plain
                convert -n SECRET--target-image-opts plain OPENtheirs
                convert -n SECRET--target-image-opts plain OPENours
                convert -n SECRET--target-image-opts plain OPENtheirs2
                qemu-img convert -n SECRET--target-image-opts plain OPENours2
                convert -n SECRET--target-image-opts plain OPENaes,encrypt.format=aes
                qemu-img compare SECRET--image-opts driver=qcow2,file.filename=plain OPENtheirs
                qemu-img compare SECRET--image-opts driver=qcow2,file.filename=plain OPENours
                qemu-img compare SECRET--image-opts driver=qcow2,file.filename=plain OPENtheirs2
                compare SECRET--image-opts driver=qcow2,file.filename=plain OPENours2
                qemu-img compare SECRET--image-opts driver=qcow2,file.filename=plain OPENaes,encrypt.format=aes
                qemu-io SECRET--image-opts -c write~-P9~1000~3000 -c discard~2M~64k OPENtheirs
                check SECRET--image-opts OPENtheirs
                qemu-img check SECRET--image-opts OPENtheirs
                qemu-img check SECRET--image-opts OPENours
                qemu-img check SECRET--image-opts OPENours2
                snapshot -c kept SECRET--image-opts OPENours
                qemu-io SECRET--image-opts -c write~-P1~1M~1M OPENours
                snapshot -a kept SECRET--image-opts OPENours
                qemu-img check SECRET--image-opts OPENours
                qemu-img compare SECRET--image-opts driver=qcow2,file.filename=plain OPENours
                qemu-img create -q -f qcow2 -b json:{"driver":"qcow2","encrypt":{"format":"luks","key-secret":"s"},"file":{"driver":"file","filename":"ours"}} -F qcow2 over 8M
                compare SECRET--image-opts driver=qcow2,file.filename=plain driver=qcow2,file.filename=over,backing.driver=qcow2,backing.encrypt.format=luks,backing.encrypt.key-secret=s,backing.file.filename=ours
                map theirs3
                convert -n SECRET--target-image-opts plain VOLUMEtheirs3
                qemu-img compare SECRET--image-opts driver=qcow2,file.filename=plain VOLUMEtheirs3
                qemu-img convert -n SECRET--target-image-opts plain VOLUMEours3
                compare SECRET--image-opts driver=qcow2,file.filename=plain VOLUMEours3
                """
                        .replace("SECRET", secret)
                        .replace("OPEN", open)
                        .replace("VOLUME", "driver=luks,key-secret=s,file.filename="));
    }
}
