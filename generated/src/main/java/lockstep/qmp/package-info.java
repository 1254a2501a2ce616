/**
 * QMP's wire: the JSON text reader and printer with QEMU's tolerance, limits, error texts and member
 * order, the visitors that fill and write generated types, QEMU's {@code key=value} text, and the
 * table that answers requests.
 */
package lockstep.qmp;
