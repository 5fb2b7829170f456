package io.e2bridge;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.Locale;

/**
 * Settings of a client. What is not set is absent and gets the default that its builder method names.
 *
 * <p>Immutable; safe for use by any thread.
 */
public final class E2BConfig {
    private static final E2BConfig DEFAULTS = builder().build();

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

    /** {@return a copy of the JSON object that crosses to the library} */
    ObjectNode json() {
        return json.deepCopy();
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

    /** {@return the settings that are set} Secrets are not among them. */
    @Override
    public String toString() {
        return "E2BConfig" + json;
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
         * How many ready sandboxes of {@code base} are kept, so that creating one takes no set-up.
         *
         * @param count 0 to 64; null: 4
         * @return this
         */
        public Builder poolBase(Integer count) {
            return set("pool_base", count);
        }

        /**
         * How many ready sandboxes of {@code python} are kept.
         *
         * @param count 0 to 64; null: 1, with its interpreter started
         * @return this
         */
        public Builder poolPython(Integer count) {
            return set("pool_python", count);
        }

        /**
         * How many ready sandboxes of {@code node} are kept.
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

        private Builder set(String key, Path value) {
            return set(key, value == null ? null : E2B.hostPath("config." + key, value));
        }
    }
}
