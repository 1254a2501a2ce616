/** How the COLO room plugs into the runtime: objects, commands, services. */
package lockstep.colo.room;
