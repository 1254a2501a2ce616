/**
 * filter-rewriter: lets the secondary guest's TCP connections, which have sequence numbers of their
 * own, go on with clients that know the primary's.
 */
package lockstep.colo.rewriter;
