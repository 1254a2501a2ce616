package lockstep.runtime.testmachine;

import org.jspecify.annotations.Nullable;

import java.lang.reflect.Proxy;

/** Answers for an interface whose methods are not all needed. */
@FunctionalInterface
public interface Fake {
    /** What the method of that name returns. */
    @Nullable Object answer(String method, Object[] arguments) throws Throwable;

    /** An object that answers like that. */
    static <T> T of(Class<T> type, Fake answers) {
        return type.cast(
                Proxy.newProxyInstance(
                        type.getClassLoader(),
                        new Class<?>[] {type},
                        (self, method, arguments) ->
                                answers.answer(
                                        method.getName(),
                                        arguments == null ? new Object[0] : arguments)));
    }

    /** An object of whose methods none may be called. */
    static <T> T untouchable(Class<T> type) {
        return of(
                type,
                (method, arguments) -> {
                    throw new UnsupportedOperationException(method);
                });
    }
}
