package io.e2bridge;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/**
 * Settings of a client. What is not set is absent and gets the default that its builder method names. Those of the one backend are
 * checked and not used on the other.
 *
 * <p>Immutable; safe for use by any thread.
 */
public final class E2BConfig {
    private static final E2BConfig DEFAULTS = builder().build();
    /** Keys whose values nothing shows; what stands for a value instead. */
    private static final Set<String> SECRETS = Set.of("api_key", "access_token");
    private static final Set<String> ADDRESSES = Set.of("api_url", "sandbox_url");
    private static final String HIDDEN = "***";

    private final ObjectNode json;

    private E2BConfig(ObjectNode json) {
        this.json = json;
    }

    /** {@return the settings with nothing set} */
    public static E2BConfig defaults() {
        return DEFAULTS;
    }

    /** {@return a builder with nothing set} */
    public static Builder builder() {
        return new Builder();
    }

    /** {@return where sandboxes run, null when not set} */
    public Backend backend() {
        return json.has("backend") ? Backend.valueOf(json.get("backend").textValue().toUpperCase(Locale.ROOT)) : null;
    }

    /** {@return what happens when the host cannot isolate fully, null when not set} */
    public Isolation isolation() {
        return json.has("isolation")
                ? Isolation.valueOf(json.get("isolation").textValue().toUpperCase(Locale.ROOT))
                : null;
    }

    /** {@return where exported templates are kept, null when not set} */
    public Path dataDirectory() {
        return path("data_directory");
    }

    /** {@return the Python interpreter, null when not set} */
    public Path python() {
        return path("python");
    }

    /** {@return the Node.js interpreter, null when not set} */
    public Path node() {
        return path("node");
    }

    /** {@return ready sandboxes kept for {@code base}, null when not set} */
    public Integer poolBase() {
        return number("pool_base");
    }

    /** {@return ready sandboxes kept for {@code python}, null when not set} */
    public Integer poolPython() {
        return number("pool_python");
    }

    /** {@return ready sandboxes kept for {@code node}, null when not set} */
    public Integer poolNode() {
        return number("pool_node");
    }

    /** {@return size of the writable files of each sandbox in MiB, null when not set} */
    public Integer diskMb() {
        return number("disk_mb");
    }

    /** {@return the domain of the cluster, null when not set} */
    public String domain() {
        return text("domain");
    }

    /** {@return the address of the cluster's API, null when not set} */
    public URI apiUrl() {
        return uri("api_url");
    }

    /** {@return the one address of all sandboxes, null when not set} */
    public URI sandboxUrl() {
        return uri("sandbox_url");
    }

    /** {@return the file of certificates that are trusted beside the platform's, null when not set} */
    public Path caFile() {
        return path("ca_file");
    }

    /** {@return the cluster's templates for built-in ones, unmodifiable, null when not set} */
    public Map<String, String> templates() {
        if (!json.has("templates")) {
            return null;
        }
        Map<String, String> templates = new LinkedHashMap<>();
        json.get("templates").properties().forEach(entry -> templates.put(entry.getKey(), entry.getValue().textValue()));
        return Collections.unmodifiableMap(templates);
    }

    /** {@return the time for making a connection, null when not set} */
    public Duration connectTimeout() {
        return seconds("connect_timeout");
    }

    /** {@return the time for a request, null when not set} */
    public Duration requestTimeout() {
        return seconds("request_timeout");
    }

    /** {@return the longest pause between two bytes of an answer, null when not set} */
    public Duration idleTimeout() {
        return seconds("idle_timeout");
    }

    /** {@return a copy of the JSON object that crosses to the library, secrets included} */
    ObjectNode json() {
        return json.deepCopy();
    }

    private String text(String key) {
        return json.has(key) ? json.get(key).textValue() : null;
    }

    private URI uri(String key) {
        return json.has(key) ? URI.create(json.get(key).textValue()) : null;
    }

    private Duration seconds(String key) {
        return json.has(key) ? Duration.ofSeconds(json.get(key).longValue()) : null;
    }

    private Path path(String key) {
        return json.has(key) ? Path.of(json.get(key).textValue()) : null;
    }

    private Integer number(String key) {
        return json.has(key) ? json.get(key).intValue() : null;
    }

    /** {@return true for settings that are equal one by one} */
    @Override
    public boolean equals(Object other) {
        return other instanceof E2BConfig config && json.equals(config.json);
    }

    @Override
    public int hashCode() {
        return json.hashCode();
    }

    /** {@return the settings that are set} Of secrets only that they are. */
    @Override
    public String toString() {
        ObjectNode shown = json.deepCopy();
        SECRETS.stream().filter(shown::has).forEach(key -> shown.put(key, HIDDEN));
        // One with a user and a password is refused when a client is opened; until then it may be shown.
        ADDRESSES.stream().filter(key -> shown.path(key).asText().contains("@")).forEach(key -> shown.put(key, HIDDEN));
        return "E2BConfig" + shown;
    }

    /**
     * Builds settings. Ranges are checked when a client is opened, where a broken rule is an {@link E2BException} with
     * INVALID_ARGUMENT that names the setting.
     *
     * <p>Not safe for use by several threads at once.
     */
    public static final class Builder {
        private final ObjectNode json = JsonNodeFactory.instance.objectNode();

        private Builder() {}

        /**
         * Where sandboxes run.
         *
         * @param backend the place; null: the environment variable {@code E2B_BACKEND}, else {@link Backend#LOCAL}
         * @return this
         */
        public Builder backend(Backend backend) {
            return set("backend", backend == null ? null : backend.word());
        }

        /**
         * What happens when the host cannot isolate fully.
         *
         * @param isolation the choice; null: {@link Isolation#REQUIRED}
         * @return this
         */
        public Builder isolation(Isolation isolation) {
            return set("isolation", isolation == null ? null : isolation.word());
        }

        /**
         * Where exported templates are kept. Made when it is missing.
         *
         * @param directory a directory of the host; null: {@code $XDG_DATA_HOME/e2bridge}, without that
         *     variable {@code ~/.local/share/e2bridge}; as root {@code /var/lib/e2bridge}
         * @return this
         */
        public Builder dataDirectory(Path directory) {
            return set("data_directory", directory);
        }

        /**
         * The interpreter of the template {@code python}.
         *
         * @param program an executable of the host; null: {@code E2B_PYTHON}, the system's, then {@code PATH}
         * @return this
         */
        public Builder python(Path program) {
            return set("python", program);
        }

        /**
         * The interpreter of the template {@code node}.
         *
         * @param program an executable of the host; null: {@code E2B_NODE}, the system's, then {@code PATH}
         * @return this
         */
        public Builder node(Path program) {
            return set("node", program);
        }

        /**
         * How many ready sandboxes of {@code base} are kept, so that creating one takes no set-up. They are made in the background from the
         * first use of the template on, serve creates with default limits, and end with the client; when none is ready, one is made for the
         * call. Each holds its interpreter, started, and less than 1 MiB of memory, the kernel's included.
         *
         * @param count 0 to 64; null: 4
         * @return this
         */
        public Builder poolBase(Integer count) {
            return set("pool_base", count);
        }

        /**
         * How many ready sandboxes of {@code python} are kept, as in {@link #poolBase}; each holds about 2 MiB.
         *
         * @param count 0 to 64; null: 1, with its interpreter started
         * @return this
         */
        public Builder poolPython(Integer count) {
            return set("pool_python", count);
        }

        /**
         * How many ready sandboxes of {@code node} are kept, as in {@link #poolBase}; each holds about 10 MiB.
         *
         * @param count 0 to 64; null: 1, with its interpreter started
         * @return this
         */
        public Builder poolNode(Integer count) {
            return set("pool_node", count);
        }

        /**
         * Size of the writable files of each sandbox together. They count as its memory.
         *
         * @param mebibytes 1 to 16,777,216 MiB; null: half of the sandbox's memory
         * @return this
         */
        public Builder diskMb(Integer mebibytes) {
            return set("disk_mb", mebibytes);
        }

        /**
         * The API key of the cluster. It is sent to the API and appears in no log, error, document or {@code toString}; there is no
         * method that answers it.
         *
         * @param key the key; null: the environment variable {@code E2B_API_KEY}
         * @return this
         */
        public Builder apiKey(String key) {
            return set("api_key", key);
        }

        /**
         * An access token of the cluster, sent as {@code Authorization: Bearer}, for clusters that take one instead of a key. As
         * secret as a key.
         *
         * @param token the token; null: the environment variable {@code E2B_ACCESS_TOKEN}
         * @return this
         */
        public Builder accessToken(String token) {
            return set("access_token", token);
        }

        /**
         * The domain of the cluster.
         *
         * @param domain a domain; null: the environment variable {@code E2B_DOMAIN}, else {@code e2b.app}
         * @return this
         */
        public Builder domain(String domain) {
            return set("domain", domain);
        }

        /**
         * The address of the cluster's API.
         *
         * @param url {@code http[s]://host[:port][/path]}; null: the environment variable {@code E2B_API_URL}, else
         *     {@code https://api.} and the domain
         * @return this
         */
        public Builder apiUrl(URI url) {
            return set("api_url", url == null ? null : url.toString());
        }

        /**
         * One address for all sandboxes of the cluster.
         *
         * @param url {@code http[s]://host[:port][/path]}; null: the environment variable {@code E2B_SANDBOX_URL}, else each sandbox has
         *     a name of its own below the domain
         * @return this
         */
        public Builder sandboxUrl(URI url) {
            return set("sandbox_url", url == null ? null : url.toString());
        }

        /**
         * Certificates that are trusted beside the platform's.
         *
         * @param file a PEM file of the host; null: none
         * @return this
         */
        public Builder caFile(Path file) {
            return set("ca_file", file);
        }

        /**
         * The cluster's templates for built-in ones. A template that runs code must have E2B's code interpreter, agents need Node.js.
         *
         * @param templates name or id of a template of the cluster by {@code base}, {@code python} or {@code node}; null: none;
         *     what is not named is {@code code-interpreter-v1}
         * @return this
         */
        public Builder templates(Map<String, String> templates) {
            json.remove("templates");
            if (templates != null) {
                ObjectNode names = json.putObject("templates");
                templates.forEach(names::put);
            }
            return this;
        }

        /**
         * Time for making a connection to the cluster.
         *
         * @param time 1 to 3,600 seconds, a part of a second counts as a whole one; null: 10 seconds
         * @return this
         */
        public Builder connectTimeout(Duration time) {
            return set("connect_timeout", time);
        }

        /**
         * Time for a request to the cluster and its whole answer. Executions, code and files are not bound by it.
         *
         * @param time 1 to 3,600 seconds, a part of a second counts as a whole one; null: 60 seconds
         * @return this
         */
        public Builder requestTimeout(Duration time) {
            return set("request_timeout", time);
        }

        /**
         * Longest pause between two bytes of an answer or a file. A sandbox is asked to say within half of it that it is still there.
         *
         * @param time 1 to 3,600 seconds, a part of a second counts as a whole one; null: 120 seconds
         * @return this
         */
        public Builder idleTimeout(Duration time) {
            return set("idle_timeout", time);
        }

        /** {@return the settings} The builder may be used further. */
        public E2BConfig build() {
            return new E2BConfig(json.deepCopy());
        }

        private Builder set(String key, String value) {
            if (value == null) {
                json.remove(key);
            } else {
                json.put(key, value);
            }
            return this;
        }

        private Builder set(String key, Integer value) {
            if (value == null) {
                json.remove(key);
            } else {
                json.put(key, value);
            }
            return this;
        }

        private Builder set(String key, Duration value) {
            if (value == null) {
                json.remove(key);
            } else {
                // What does not fit into the range is refused when a client is opened, by the name of the setting.
                long seconds = value.getSeconds();
                json.put(key, value.getNano() > 0 && seconds < Long.MAX_VALUE ? seconds + 1 : seconds);
            }
            return this;
        }

        private Builder set(String key, Path value) {
            return set(key, value == null ? null : E2B.hostPath("config." + key, value));
        }
    }
}
