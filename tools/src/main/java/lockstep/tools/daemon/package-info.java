/** {@code lockstep-storage-daemon}: disks, jobs and exports by QMP, without a machine; qemu-storage-daemon's command line. */
package lockstep.tools.daemon;
