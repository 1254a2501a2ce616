/**
 * The floppy controller: Intel 82078 (order number 290468-003) with two drives that never hold a medium.
 * Section spoken: {@code fdc} v2. Commands are accepted and end as they do on an empty drive; transfers
 * are not modelled.
 */
package lockstep.devices.fdc;
