package io.e2bridge.internal;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.E2BErrorCode;
import io.e2bridge.E2BException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;

/**
 * Events for {@link System.Logger} {@code io.e2bridge}: what begins and ends at DEBUG, what a limit ended at INFO, refused
 * isolation at WARNING. Ids and figures only; never code, output, arguments or keys.
 */
public final class Events {
    private static final Logger LOGGER = System.getLogger("io.e2bridge");

    private Events() {}

    /**
     * A client was opened.
     *
     * @param document its document
     * @param library where the native library came from
     */
    public static void opened(JsonNode document, String library) {
        LOGGER.log(Level.DEBUG, "client opened: backend {0}, isolation {1}, library from {2}",
                document.path("backend").asText(), document.path("isolation").asText(), library);
    }

    /** A client was closed. */
    public static void closed() {
        LOGGER.log(Level.DEBUG, "client closed");
    }

    /**
     * A sandbox was created.
     *
     * @param document its document
     */
    public static void created(JsonNode document) {
        if (LOGGER.isLoggable(Level.DEBUG)) {
            LOGGER.log(Level.DEBUG, "sandbox {0} created from {1}, ends at {2}", document.path("sandbox_id").asText(),
                    document.path("template").asText(), document.path("expires_at").asText());
        }
    }

    /**
     * A sandbox was terminated.
     *
     * @param document its document
     */
    public static void terminated(JsonNode document) {
        if (LOGGER.isLoggable(Level.DEBUG)) {
            LOGGER.log(Level.DEBUG, "sandbox {0} terminated, forced {1}", document.path("sandbox_id").asText(),
                    document.path("forced").asText());
        }
    }

    /**
     * An execution ended; logged when a limit ended it.
     *
     * @param document its document
     */
    public static void executed(JsonNode document) {
        boolean timedOut = document.path("timed_out").asBoolean()
                || document.path("status").asText().equals("timed_out");
        if (timedOut || document.path("out_of_memory").asBoolean()) {
            String id = document.path("execution_id").asText(document.path("agent_id").asText());
            LOGGER.log(Level.INFO, "{0} in sandbox {1} was ended by its {2}", id, document.path("sandbox_id").asText(),
                    timedOut ? "time-out" : "memory limit");
        }
    }

    /**
     * A call failed; logged when the host cannot isolate.
     *
     * @param failure the failure
     * @return the failure
     */
    public static E2BException failed(E2BException failure) {
        if (failure.code() == E2BErrorCode.ISOLATION_UNAVAILABLE) {
            LOGGER.log(Level.WARNING, "isolation refused: {0}", failure.getMessage());
        }
        return failure;
    }
}
