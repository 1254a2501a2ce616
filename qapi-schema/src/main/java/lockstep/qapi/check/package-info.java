/** Turns expression trees into the model and holds the rules a schema must obey. */
package lockstep.qapi.check;
