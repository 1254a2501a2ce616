/**
 * Backends that carry frames over sockets: streams with a length in front, datagrams, multicast.
 */
package lockstep.net.socket;
