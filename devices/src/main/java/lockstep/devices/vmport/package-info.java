/**
 * What a guest's migration state holds of the pointer behind VMware's back door port. Section spoken:
 * {@code vmmouse} v0. The port itself is not answered: it passes values in processor registers, so that a
 * guest that probes it finds no back door and uses the PS/2 or USB pointer.
 */
package lockstep.devices.vmport;
