/** The tap backend: a network interface of the host, brought up and down by the user's scripts. */
package lockstep.net.tap;
