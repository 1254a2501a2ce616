/**
 * Writes Java from a QAPI schema: {@link lockstep.codegen.SchemaGenerator} holds one emitter per kind
 * of definition; the Mojos run it inside Maven.
 */
package lockstep.codegen;
