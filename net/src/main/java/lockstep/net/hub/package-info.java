/** Hubs: every packet that enters one port leaves by all others. */
package lockstep.net.hub;
