/**
 * Moving a virtual machine: the stream of sections that holds RAM and device state, the two ends that
 * write and read it, the transports it travels on, and the QMP commands that drive all this. The format
 * is that of QEMU's precopy migration, machine types pc-i440fx. COLO plugs in through {@link
 * lockstep.runtime.migration.ColoHandler}.
 */
package lockstep.runtime.migration;
