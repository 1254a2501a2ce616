/** How the net room plugs into the runtime: options, commands, objects, services. */
package lockstep.net.room;
