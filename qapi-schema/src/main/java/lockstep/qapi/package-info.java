/**
 * Entry to the QAPI front end: {@link lockstep.qapi.SchemaLoader} reads a schema with all its
 * includes and gives a {@link lockstep.qapi.model.Schema} or the list of errors.
 */
package lockstep.qapi;
