package lockstep.x86;

/** Nothing outside the processor. */
class NoBus implements Bus {
    @Override
    public long readMemory(long address, int size) {
        return 0;
    }

    @Override
    public void writeMemory(long address, int size, long value) {}

    @Override
    public int readPort(int port, int size) {
        return 0;
    }

    @Override
    public void writePort(int port, int size, int value) {}

    @Override
    public int acknowledge() {
        return -1;
    }

    @Override
    public long timestamp() {
        return 0;
    }

    @Override
    public void setTimestamp(long value) {}

    @Override
    public long readMsr(int number) {
        return 0;
    }

    @Override
    public void writeMsr(int number, long value) {}

    @Override
    public int taskPriority() {
        return 0;
    }

    @Override
    public void setTaskPriority(int priority) {}
}
