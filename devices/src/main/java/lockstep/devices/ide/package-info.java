/**
 * IDE of the PIIX3 (Intel 82371SB) with ATA disks and ATAPI CD/DVD drives: ATA/ATAPI-7, MMC-5, bus master
 * by SFF-8038i. QEMU: vmstate "ide" v3. A disk moves data by PIO and by DMA through a buffer of 128 KiB; a
 * request in flight when the machine stops is waited for, or travels as a request to be tried again. Not
 * modelled: the secondary's geometry translation, host protected area, security, audio.
 */
package lockstep.devices.ide;
