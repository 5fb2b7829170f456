package io.e2bridge;

/** What kind of failure an {@link E2BException} is. */
public enum E2BErrorCode {
    /** An argument breaks a rule; {@link E2BException#argument()} names it. Nothing was created. */
    INVALID_ARGUMENT(1),
    /** No such sandbox, deployment, template or file. */
    NOT_FOUND(2),
    /** The name is taken, or reserved. */
    ALREADY_EXISTS(3),
    /** The client was closed. */
    CLOSED(4),
    /** The call was cancelled by interrupting its thread. */
    CANCELLED(5),
    /** The request itself took too long; the time-out of an execution is a result, not an error. */
    TIMEOUT(6),
    /** A documented bound was met: a size, a count, or what the host can hold. */
    LIMIT_EXCEEDED(7),
    /** This backend, template or host cannot do it. */
    UNSUPPORTED(8),
    /** The host cannot give the isolation asked for; the message names cause and remedy. */
    ISOLATION_UNAVAILABLE(9),
    /** The cloud refused the credentials; never on the local engine. */
    UNAUTHENTICATED(10),
    /** The operation is not permitted. */
    PERMISSION_DENIED(11),
    /** The cloud asks to slow down; never on the local engine. */
    RATE_LIMITED(12),
    /** The engine did not answer; trying again may help. */
    UNAVAILABLE(13),
    /** A defect in E2Bridge. */
    INTERNAL(14),
    /** A number that this version does not know; {@link E2BException#number()} keeps it. */
    UNKNOWN(-1);

    private final int number;

    E2BErrorCode(int number) {
        this.number = number;
    }

    /** {@return the status number of the native interface; -1 for {@link #UNKNOWN}} */
    public int number() {
        return number;
    }

    /**
     * The code of a status number.
     *
     * @param number a status number of the native interface
     * @return the code; {@link #UNKNOWN} for a number that is not one of them
     */
    public static E2BErrorCode ofNumber(int number) {
        for (E2BErrorCode code : values()) {
            if (code.number == number) {
                return code;
            }
        }
        return UNKNOWN;
    }
}
