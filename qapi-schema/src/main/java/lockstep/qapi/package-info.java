/**
 * Entry to the QAPI front end: {@link lockstep.qapi.SchemaLoader} reads a schema with all its
 * includes and gives a {@link lockstep.qapi.model.Schema} or the list of errors;
 * {@link lockstep.qapi.SchemaDump} writes all that a schema says, byte for byte as QEMU's test does.
 */
package lockstep.qapi;
