package io.e2bridge.internal;

/** The functions of a client, with what an interrupt of the calling thread means to each. */
public enum NativeFunction {
    /** {@code create_e2b_sandbox}. */
    CREATE_SANDBOX(Interrupt.CANCELS),
    /** {@code list_e2b_sandboxes}. */
    LIST_SANDBOXES(Interrupt.NOTHING),
    /** {@code get_e2b_sandbox_status}. */
    SANDBOX_STATUS(Interrupt.NOTHING, DocumentReader.withObjects()),
    /** {@code execute_e2b_process}. */
    EXECUTE_PROCESS(Interrupt.CANCELS),
    /** {@code run_e2b_agent}. */
    RUN_AGENT(Interrupt.CANCELS),
    /** {@code monitor_e2b_health}. */
    MONITOR_HEALTH(Interrupt.NOTHING),
    /** {@code deploy_e2b_template}. */
    DEPLOY_TEMPLATE(Interrupt.CANCELS),
    /** {@code scale_e2b_deployment}. */
    SCALE_DEPLOYMENT(Interrupt.CANCELS),
    /** {@code export_e2b_template}. */
    EXPORT_TEMPLATE(Interrupt.CANCELS),
    /** {@code terminate_e2b_sandbox}: what a finally block calls must work in an interrupted thread too. */
    TERMINATE_SANDBOX(Interrupt.NOTHING),
    /** {@code run_e2b_code}. */
    RUN_CODE(Interrupt.CANCELS),
    /** {@code write_e2b_file}. */
    WRITE_FILE(Interrupt.CANCELS),
    /** {@code read_e2b_file}. */
    READ_FILE(Interrupt.CANCELS),
    /** {@code set_e2b_timeout}. */
    SET_TIMEOUT(Interrupt.NOTHING),
    /** {@code list_e2b_templates}. */
    LIST_TEMPLATES(Interrupt.NOTHING),
    /** {@code delete_e2b_template}. */
    DELETE_TEMPLATE(Interrupt.NOTHING),
    /** {@code export_e2b_template_file}. */
    EXPORT_TEMPLATE_FILE(Interrupt.REFUSES_AT_ENTRY),
    /** {@code import_e2b_template_file}. */
    IMPORT_TEMPLATE_FILE(Interrupt.REFUSES_AT_ENTRY),
    /** {@code e2b_open}. */
    OPEN(Interrupt.NOTHING),
    /** {@code e2b_close}. */
    CLOSE(Interrupt.NOTHING),
    /** {@code e2b_check}. */
    CHECK(Interrupt.NOTHING),
    /** {@code e2b_version}. */
    VERSION(Interrupt.NOTHING),
    /** {@code e2b_live_counts}. */
    LIVE_COUNTS(Interrupt.NOTHING);

    /** What an interrupt does to a call. The thread's flag stays set in each case. */
    enum Interrupt {
        /** The call is not begun, or is cancelled and ends with CANCELLED. */
        CANCELS,
        /** The call is not begun; once it runs it ends as it would. */
        REFUSES_AT_ENTRY,
        /** The call does its work. */
        NOTHING
    }

    private final Interrupt interrupt;
    private final DocumentReader reader;

    NativeFunction(Interrupt interrupt) {
        this(interrupt, new DocumentReader());
    }

    NativeFunction(Interrupt interrupt, DocumentReader reader) {
        this.interrupt = interrupt;
        this.reader = reader;
    }

    Interrupt interrupt() {
        return interrupt;
    }

    DocumentReader reader() {
        return reader;
    }
}
