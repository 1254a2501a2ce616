/**
 * The firmware configuration device, through which firmware learns what the machine is made of: numbered
 * items and named files, read byte by byte at port 0x511 or by DMA. QEMU: docs/specs/fw_cfg, version with
 * DMA. Section spoken: {@code fw_cfg} v2. Not modelled: items that the guest may write.
 */
package lockstep.devices.fwcfg;
