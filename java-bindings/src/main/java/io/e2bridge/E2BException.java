package io.e2bridge;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/**
 * A failed call. What ends inside a sandbox (a non-zero exit, an exception in the code, a time-out of an execution) is a
 * result and not an exception.
 *
 * <p>Immutable, apart from what {@link Throwable} itself allows; safe for use by any thread.
 */
public final class E2BException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** The kind of failure. */
    private final E2BErrorCode code;
    /** The status number. */
    private final int number;
    /** The argument it is about, or null. */
    private final String argument;
    /** Facts; holds JSON values as plain serializable Java values only. */
    @SuppressWarnings("serial")
    private final Map<String, Object> context;

    /**
     * A failure of a known kind.
     *
     * @param code the kind
     * @param message lower-case text for people
     * @param argument the argument it is about, or null
     * @param context facts, or null for none; copied
     * @param cause what led to it, or null
     */
    public E2BException(E2BErrorCode code, String message, String argument, Map<String, ?> context, Throwable cause) {
        this(code, code.number(), message, argument, context, cause);
    }

    /**
     * A failure with a status number, which this version need not know.
     *
     * @param number the status number of the native interface
     * @param message lower-case text for people
     * @param argument the argument it is about, or null
     * @param context facts, or null for none; copied
     * @return the exception; its code is {@link E2BErrorCode#UNKNOWN} when the number is not known
     */
    public static E2BException ofNumber(int number, String message, String argument, Map<String, ?> context) {
        return new E2BException(E2BErrorCode.ofNumber(number), number, message, argument, context, null);
    }

    private E2BException(
            E2BErrorCode code, int number, String message, String argument, Map<String, ?> context, Throwable cause) {
        super(message, cause);
        this.code = Objects.requireNonNull(code, "code");
        this.number = number;
        this.argument = argument;
        this.context = context == null || context.isEmpty()
                ? Map.of()
                : Collections.unmodifiableMap(new LinkedHashMap<>(context));
    }

    /** {@return the kind of failure} */
    public E2BErrorCode code() {
        return code;
    }

    /**
     * {@return the status number of the native interface} The same as {@code code().number()} unless the code is
     * {@link E2BErrorCode#UNKNOWN}.
     */
    public int number() {
        return number;
    }

    /**
     * {@return the argument that the failure is about, null when it is about none} The name is that of the contract
     * ({@code sandbox_id}, {@code strategy_params}), with the place inside where there is one: {@code args[2]},
     * {@code configuration.env.HOME}.
     */
    public String argument() {
        return argument;
    }

    /**
     * {@return facts about the failure, such as {@code sandbox_id}, {@code status}, {@code errno}} Values are strings, numbers,
     * booleans, lists, maps or null. Unmodifiable, never null.
     */
    public Map<String, Object> context() {
        return context;
    }

    /** {@return the class, the code and the message} */
    @Override
    public String toString() {
        String kind = code == E2BErrorCode.UNKNOWN ? code + " (" + number + ")" : code.toString();
        return getClass().getName() + ": " + kind + ": " + getMessage();
    }
}
