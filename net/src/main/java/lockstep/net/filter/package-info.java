/**
 * The net filters: filter-mirror copies packets to a character device, filter-redirector sends them
 * there and takes others from one, filter-buffer holds them for a while, filter-dump writes them to
 * a file. And the framing of packets on character devices, which colo-compare speaks too.
 */
package lockstep.net.filter;
