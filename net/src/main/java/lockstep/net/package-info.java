/**
 * What other rooms see of the network: how a NIC model plugs into a backend, MAC addresses, and the
 * services that migration and COLO call.
 */
package lockstep.net;
