/**
 * The heartbeat of a COLO pair, on a connection of its own: each side learns whether the other lives, and the
 * primary holds a lease from the secondary without which no packet of its guest leaves. So the
 * secondary knows from when on it can be heard alone. Who may go on alone is asked of a program.
 */
package lockstep.colo.heartbeat;
