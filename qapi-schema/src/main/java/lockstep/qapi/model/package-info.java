/**
 * The checked schema: immutable definitions that name the types they use. Names are resolved through
 * {@link lockstep.qapi.model.Schema}.
 */
package lockstep.qapi.model;
