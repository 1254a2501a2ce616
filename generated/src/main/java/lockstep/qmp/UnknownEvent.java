package lockstep.qmp;

/**
 * An event that the schema in use does not have.
 *
 * @param eventName its wire name
 * @param data its data; without members when it had none
 */
public record UnknownEvent(String eventName, JsonObject data) implements QmpEvent {
    @Override
    public boolean hasData() {
        return !data.isEmpty();
    }

    @Override
    public void writeData(OutputVisitor visitor) {
        data.members().forEach(visitor::any);
    }
}
