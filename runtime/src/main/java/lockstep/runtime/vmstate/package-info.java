/** Device state: how a section is described, written and read. The wire format is that of QEMU's migration stream. */
package lockstep.runtime.vmstate;
