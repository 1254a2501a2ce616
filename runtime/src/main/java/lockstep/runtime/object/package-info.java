/** The tree of objects that users see through qom-list and qom-get, and the objects that they add to it. */
package lockstep.runtime.object;
