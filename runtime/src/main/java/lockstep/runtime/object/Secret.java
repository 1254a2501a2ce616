package lockstep.runtime.object;

/** A user's object that holds a password or key. */
public interface Secret extends UserObject {
    /** What it holds, in clear; not to be changed. Under the machine lock. */
    byte[] content();
}
