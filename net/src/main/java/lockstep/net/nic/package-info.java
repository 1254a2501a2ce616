/** The NIC side of the wire, and the services that the net room publishes. */
package lockstep.net.nic;
