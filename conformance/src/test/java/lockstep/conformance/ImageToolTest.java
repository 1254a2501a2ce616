package lockstep.conformance;

import org.junit.jupiter.api.Test;

/**
 * {@code lockstep-img} beside {@code qemu-img}: the same lines in a folder each, with equal exit codes and output, and
 * images that qemu-img finds sound and equal.
 */
class ImageToolTest extends BesideQemuImg {
    @Test
    void makesAndShowsImages() throws Exception {
        both(
                """
                create -f qcow2 a.qcow2
                create -f qcow2 a.qcow2 64M
                create -f raw a.raw 64M
                create -z
                create -f foo a 1M
                create -f qcow2 b.qcow2 12x
                create -f qcow2 -b a.raw b.qcow2
                create -f qcow2 -b a.raw -F raw b.qcow2
                create -f qcow2 -b nope -F raw b2.qcow2
                create -f qcow2 -o foo=1 b2.qcow2 1M
                create -f qcow2 -o compat=0.10 b3.qcow2 1025
                create -f qcow2 -o refcount_bits=1,lazy_refcounts=on,preallocation=metadata b4.qcow2 1M
                create -f qcow2 -o refcount_bits=64,cluster_size=512 b5.qcow2 20M
                create -f qcow2 -o preallocation=falloc b6.qcow2 1M
                qemu-img check b4.qcow2
                qemu-img check b5.qcow2
                qemu-img check b6.qcow2
                qemu-img map --output=json b6.qcow2
                qemu-img map --output=json a.raw
                qemu-io -c write~-P5~1M~1M -c write~-z~4M~1M a.qcow2
                info a.qcow2
                info --output=json b3.qcow2
                info --backing-chain b.qcow2
                info --backing-chain --output=json b.qcow2
                info --image-opts driver=qcow2,file.filename=a.qcow2
                info nope
                map a.qcow2
                map --output=json a.qcow2
                map --output=json b.qcow2
                measure --size 1G -O qcow2 --output=json
                measure -O qcow2 -o cluster_size=4k,refcount_bits=64 a.qcow2
                check a.qcow2
                check --output=json a.qcow2
                check a.raw
                compare a.qcow2 a.raw
                compare -s a.raw b.qcow2
                compare a.raw b3.qcow2
                compare a.raw nope
                """);
    }

    @Test
    void copiesImages() throws Exception {
        both(
                """
                qemu-img create -q -f qcow2 a.qcow2 64M
                qemu-img create -q -f raw a.raw 64M
                qemu-io -c write~-P5~1M~1M -c write~-z~4M~1M a.qcow2
                qemu-io -f raw -c write~-P7~5M~1M a.raw
                convert -O qcow2 a.qcow2 c1.qcow2
                qemu-img check c1.qcow2
                qemu-img compare a.qcow2 c1.qcow2
                convert -c -O qcow2 -o cluster_size=4k /usr/bin/qemu-img c2.qcow2
                qemu-img check c2.qcow2
                qemu-img compare -f raw /usr/bin/qemu-img c2.qcow2
                convert -c -O qcow2 -o refcount_bits=1 /usr/bin/qemu-img c3.qcow2
                qemu-img check c3.qcow2
                qemu-img compare -f raw /usr/bin/qemu-img c3.qcow2
                convert -c -O raw a.qcow2 c.raw
                convert -n -O raw a.qcow2 none.raw
                convert -S 3 -O qcow2 a.qcow2 c1.qcow2
                convert -m 20 -O qcow2 a.qcow2 c1.qcow2
                convert --target-is-zero -O qcow2 a.qcow2 c1.qcow2
                qemu-img create -q -f qcow2 -b a.raw -F raw over.qcow2
                qemu-io -c write~-P9~30M~70k over.qcow2
                convert -B a.raw -F raw -O qcow2 over.qcow2 c4.qcow2
                qemu-img compare over.qcow2 c4.qcow2
                qemu-img map --output=json c4.qcow2
                convert -O qcow2 a.qcow2 over.qcow2 c5.qcow2
                qemu-img info c5.qcow2
                qemu-img check c5.qcow2
                dd -O qcow2 bs=1M count=3 skip=1 if=a.qcow2 of=d.qcow2
                qemu-img check d.qcow2
                dd if=a.qcow2
                rebase -b a.qcow2 -F qcow2 over.qcow2
                qemu-img compare over.qcow2 c4.qcow2
                rebase -b '' over.qcow2
                qemu-img compare over.qcow2 c4.qcow2
                qemu-img check over.qcow2
                info over.qcow2
                qemu-img create -q -f qcow2 -b a.raw -F raw top.qcow2 80M
                qemu-io -c write~0~1M -c write~-P3~70M~100k top.qcow2
                qemu-img convert -O raw top.qcow2 want.raw
                commit top.qcow2
                qemu-img compare -f raw -F raw want.raw a.raw
                qemu-img compare -f raw want.raw top.qcow2
                qemu-img check top.qcow2
                info json:{"driver":"qcow2","file":{"driver":"blkdebug","image":{"driver":"file","filename":"./top.qcow2"}}}
                convert -c -S 0 -O qcow2 a.qcow2 c6.qcow2
                qemu-img map --output=json c6.qcow2
                convert -B a.raw -O qcow2 a.qcow2 a.qcow2 none.qcow2
                create -f qcow2 -o cluster_size=512 none.qcow2 1T
                create -q -f qcow2 -o refcount_bits=64,cluster_size=512,preallocation=metadata wide.qcow2 160M
                qemu-img check -q wide.qcow2
                """);
    }

    @Test
    void changesImages() throws Exception {
        both(
                """
                qemu-img create -q -f qcow2 a.qcow2 64M
                qemu-io -c write~-P5~1M~1M -c write~-P6~40M~1M a.qcow2
                qemu-img snapshot -c theirs a.qcow2
                qemu-io -c write~-P7~1M~100k a.qcow2
                snapshot -l a.qcow2
                snapshot -c ours a.qcow2
                qemu-img check a.qcow2
                check -q --repair=all --format qcow2 a.qcow2
                map --format=qcow2 --start-offset 1M --max-length=2M a.qcow2
                map -s 1M -l 2M --output=json a.qcow2
                qemu-io -c write~-P8~1M~64k -c write~-P9~20M~5M a.qcow2
                qemu-img snapshot -l a.qcow2
                snapshot -a none a.qcow2
                snapshot -a theirs a.qcow2
                qemu-img check a.qcow2
                qemu-io -c read~-P5~1M~1M -c read~-P0~20M~5M a.qcow2
                convert -l ours -O raw a.qcow2 ours.raw
                qemu-io -f raw -c read~-P7~1M~100k ours.raw
                snapshot -d theirs a.qcow2
                qemu-img snapshot -a ours a.qcow2
                qemu-img check a.qcow2
                qemu-img compare -F raw a.qcow2 ours.raw
                snapshot -d ours a.qcow2
                snapshot -d ours a.qcow2
                qemu-img check a.qcow2
                resize a.qcow2 32M
                resize --shrink a.qcow2 32M
                qemu-img check a.qcow2
                resize --preallocation=falloc a.qcow2 +2M
                resize --preallocation=metadata a.qcow2 36M
                qemu-img check a.qcow2
                qemu-io -c read~-P0~32M~4M a.qcow2
                bench -c 20 -d 4 a.qcow2
                bench -w -c 20 -d 4 --pattern=3 --flush-interval=8 a.qcow2
                qemu-img check a.qcow2
                qemu-io -c read~-P3~0~80k a.qcow2
                """);
    }

    @Test
    void keepsBitmaps() throws Exception {
        both(
                """
                create -q -f qcow2 a 8M
                create -q -f qcow2 -b a -F qcow2 b
                create -q -f qcow2 -o compat=0.10 v2 8M
                create -q -f raw r 8M
                bitmap --add a b0
                qemu-io -c write~1M~64k a
                bitmap --add --gran 4k a b1
                bitmap --add a b0
                bitmap --add v2 x
                bitmap --add -f raw r x
                bitmap --add a ''
                bitmap a b0
                bitmap --add a
                bitmap --add a b0 b1
                bitmap --remove a nope
                bitmap --merge nope a b0
                bitmap --add --disable a b2
                bitmap --merge b0 --enable a b2
                bitmap --merge b1 -b a -F qcow2 b x
                bitmap --add --merge b1 -b a -F qcow2 b x
                bitmap --merge b1 -b nofile b x
                bitmap --add -b a b y
                bitmap --add -F qcow2 b y
                bitmap --clear -g 4k a b0
                bitmap --add -g 3k a q
                bitmap --add -g 8G a q
                bitmap --add -g x a q
                bitmap --clear a b0
                bitmap --add --image-opts driver=qcow2,file.filename=a opt
                bitmap --add --merge b0 --disable a z
                bitmap --remove a opt
                bitmap --foo
                info -f qcow2 a
                info --output=json a
                check a
                qemu-img check a
                qemu-img check b
                measure -O qcow2 a
                measure -O qcow2 -o cluster_size=4k --output=json a
                convert -O qcow2 --bitmaps a c
                info c
                qemu-img check c
                convert -O qcow2 -n --bitmaps a c
                convert -O raw --bitmaps a c.raw
                convert -O qcow2 -o compat=0.10 --bitmaps a c2
                convert -O qcow2 --skip-broken-bitmaps a c2
                convert -O qcow2 --bitmaps r c2
                convert -O qcow2 --bitmaps a b c2
                snapshot -c s a
                snapshot -a s a
                resize a 16M
                resize --shrink a 4M
                qemu-io -c abort c
                info c
                convert -O qcow2 --bitmaps c d
                convert -O qcow2 --bitmaps --skip-broken-bitmaps c d
                info d
                measure -O qcow2 c
                bitmap --clear c b0
                bitmap --remove c b0
                resize c 16M
                qemu-img check c
                """);
    }
}
