/**
 * The wire between a NIC and its backend: endpoints that send to their peer, the queue in front of
 * each of them, and the chain of filters that every packet walks. Everything is used under the
 * machine lock.
 */
package lockstep.net.wire;
