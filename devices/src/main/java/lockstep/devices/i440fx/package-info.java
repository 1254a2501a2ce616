/**
 * The north bridge: Intel 82441FX (Intel order number 290549-001). Its programmable attribute map decides
 * whether accesses between 0xc0000 and 0xfffff reach RAM or the ROMs behind PCI, its SMRAM register
 * whether 0xa0000 to 0xbffff does. Section spoken: {@code I440FX} v3. Not modelled: system management
 * mode, DRAM timing, error reporting.
 */
package lockstep.devices.i440fx;
