/**
 * The floppy controller: Intel 82078 (order number 290468-003) with up to two drives, whose diskettes users change.
 * Section spoken: {@code fdc} v2. Transfers by DMA and by hand, SCAN, VERIFY and FORMAT TRACK work on images of the
 * usual layouts; deleted sectors and other sector sizes than 512 bytes are not modelled, nor is the time that a
 * mechanism takes.
 */
package lockstep.devices.fdc;
