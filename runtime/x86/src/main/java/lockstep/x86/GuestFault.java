package lockstep.x86;

/**
 * An exception of the guest on its way from where it is found to where it is delivered. Each processor throws one object
 * of its own again and again, without a stack trace: nothing is allocated.
 */
final class GuestFault extends RuntimeException {
    private static final long serialVersionUID = 1;

    static final int DE = 0;
    static final int DB = 1;
    static final int BP = 3;
    static final int OF = 4;
    static final int BR = 5;
    static final int UD = 6;
    static final int NM = 7;
    static final int DF = 8;
    static final int TS = 10;
    static final int NP = 11;
    static final int SS = 12;
    static final int GP = 13;
    static final int PF = 14;
    static final int MF = 16;
    static final int AC = 17;
    static final int XM = 19;

    /** For {@link #error}: the exception pushes no error code. */
    static final int NONE = -1;

    int vector;
    int error;

    GuestFault() {
        super(null, null, false, false);
    }

    GuestFault of(int vector, int error) {
        this.vector = vector;
        this.error = error;
        return this;
    }
}
