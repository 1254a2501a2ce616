package lockstep.runtime.commandline;

import lockstep.runtime.option.OptionException;
import lockstep.runtime.option.OptionHandler;
import lockstep.runtime.option.StartPhase;

import java.util.List;

/** An option made of functions. */
final class SimpleOption implements OptionHandler {
    /** What to do with an argument. */
    @FunctionalInterface
    interface Action {
        void run(String argument) throws OptionException;
    }

    private static final Action NOTHING = argument -> {};

    private final List<String> names;
    private final boolean takesArgument;
    private StartPhase phase = StartPhase.SETTINGS;
    private Action parse = NOTHING;
    private Action apply = NOTHING;
    private Action finish = NOTHING;
    private String help = "";

    private SimpleOption(boolean takesArgument, String... names) {
        this.names = List.of(names);
        this.takesArgument = takesArgument;
    }

    /** An option with an argument. */
    static SimpleOption text(String... names) {
        return new SimpleOption(true, names);
    }

    /** An option without. */
    static SimpleOption flag(String... names) {
        return new SimpleOption(false, names);
    }

    /** A step of a phase that no option asks for. */
    static SimpleOption step(StartPhase phase, Action finish) {
        SimpleOption step = new SimpleOption(false);
        step.phase = phase;
        step.finish = finish;
        return step;
    }

    SimpleOption onParse(Action action) {
        parse = action;
        return this;
    }

    SimpleOption onApply(StartPhase when, Action action) {
        phase = when;
        apply = action;
        return this;
    }

    SimpleOption help(String line) {
        help = line;
        return this;
    }

    @Override
    public List<String> names() {
        return names;
    }

    @Override
    public boolean takesArgument() {
        return takesArgument;
    }

    @Override
    public StartPhase phase() {
        return phase;
    }

    @Override
    public void parse(String argument) throws OptionException {
        parse.run(argument);
    }

    @Override
    public void apply(String argument) throws OptionException {
        apply.run(argument);
    }

    @Override
    public void finish() throws OptionException {
        finish.run("");
    }

    @Override
    public String help() {
        return help;
    }
}
