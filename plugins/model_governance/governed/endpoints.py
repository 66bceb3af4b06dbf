"""What each of MLflow's endpoints may change, and so who decides. One that nobody classified changes nothing.

Endpoints go by the name of their handler and never by their path: the same handler answers under ``/api/2.0``,
``/ajax-api/2.0`` and ``/api/2.0/preview``. The tables are those of MLflow 3.17; a test holds them against the
endpoints that the installed MLflow really has.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

__all__ = ["FASTAPI", "FLASK", "GRAPHQL_MUTATIONS", "PAGES", "SIGN_UP", "Kind", "kind_of", "unclassified"]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
PAGES = "governance."
"""How the endpoints of our own pages begin: they ask the store, and protect their forms themselves."""
SIGN_UP = "<lambda>"
"""Name of what takes basic-auth's sign-up form; Flask lets no second one be called so."""


class Kind(StrEnum):
    """What an endpoint changes."""

    READ = "read"
    """Nothing."""
    OPEN = "open"
    """Runs, traces and the like: nothing that a decision on a version rests on."""
    RECORD = "record"
    """Writes into a run or a logged model, which may be a measurement that evidence rests on."""
    CREATOR = "creator"
    """Makes a run or a logged model: who made it is written down, for the four eyes."""
    REGISTRY = "registry"
    """The registry: the store decides, and writes the audit."""
    SOURCE = "source"
    """Registers a version: the store decides, once its files are where they can be guarded."""
    ARTEFACTS = "artefacts"
    """Files, which may be those of a registered version."""
    FILE_READ = "file read"
    """Nothing, but a model's files leave: that is written down."""
    LINEAGE = "lineage"
    """Takes away runs or logged models, which may be where a registered version comes from."""
    ACCOUNTS = "accounts"
    """Log-ins, permissions and settings of the server: MLflow decides, and it is audited."""
    REFUSED = "refused"
    """Nobody may: it would act with the server's own rights, past the log-in of whoever asks."""


def _all(kind: Kind, names: str) -> dict[str, Kind]:
    return dict.fromkeys(names.split(), kind)


FLASK: dict[str, Kind] = {
    **_all(
        Kind.READ,
        """
        health version serve serve_static_file static _get_server_info serve_get_ui_telemetry
        _batch_get_trace_infos _batch_get_traces _calculate_trace_filter_correlation _deprecated_get_trace_info_v2
        _deprecated_search_traces_v2 _get_assessment _get_budget_policy _get_dataset_experiment_ids_handler
        _get_dataset_handler _get_dataset_records_handler _get_experiment _get_experiment_by_name
        _get_gateway_endpoint _get_gateway_guardrail _get_gateway_model_definition _get_gateway_secret_info
        _get_issue _get_job _get_label_schema _get_label_schema_by_name _get_latest_versions _get_logged_model
        _get_metric_history _get_model_version _get_model_version_by_alias _get_model_version_download_uri
        _get_online_scoring_configs _get_prompt_optimization_job _get_provider_config _get_registered_model
        _get_review_queue _get_review_queue_by_name _get_run _get_scorer _get_secrets_config _get_trace
        _get_trace_info_v3 _get_webhook _get_workspace_handler _graphql _list_artifacts
        _list_artifacts_mlflow_artifacts _list_budget_policies _list_budget_windows
        _list_endpoint_guardrail_configs _list_gateway_endpoint_bindings _list_gateway_endpoints
        _list_gateway_guardrails _list_gateway_model_definitions _list_gateway_secrets _list_label_schemas
        _list_logged_model_artifacts _list_review_queue_items _list_review_queues _list_scorer_versions
        _list_scorers _list_supported_models _list_supported_providers _list_webhooks _list_workspaces_handler
        _not_implemented _query_trace_metrics _search_evaluation_datasets_handler _search_experiments
        _search_issues _search_logged_models _search_model_versions _search_prompt_optimization_jobs
        _search_registered_models _search_runs _search_traces_v3 get_metric_history_bulk_interval_handler
        serve_get_metric_history_bulk serve_get_metric_history_bulk_interval serve_get_trace_artifact
        serve_search_datasets
        signup get_user list_users get_current_user list_current_user_permissions list_user_permissions get_role
        list_roles list_role_permissions list_user_roles list_role_users get_user_permission
        """,
    ),
    **_all(
        Kind.FILE_READ,
        """
        serve_artifacts serve_model_version_artifact serve_get_logged_model_artifact _download_artifact
        _get_presigned_download_url _create_presigned_download_url
        """,
    ),
    **_all(
        Kind.OPEN,
        """
        serve_post_ui_telemetry serve_gateway_proxy _restore_experiment
        _create_experiment _update_experiment _set_experiment_tag _delete_experiment_tag
        _start_trace_v3 _deprecated_start_trace_v2 _deprecated_end_trace_v2 _set_trace_tag _set_trace_tag_v3
        _delete_trace_tag _delete_trace_tag_v3 _delete_traces _link_prompts_to_trace _link_traces_to_run
        _create_assessment _update_assessment _delete_assessment _create_issue _update_issue
        _create_label_schema _update_label_schema _delete_label_schema
        _create_review_queue _update_review_queue _delete_review_queue _get_or_create_user_queue
        _add_items_to_review_queue _remove_items_from_review_queue _set_review_queue_item_status
        _create_dataset_handler _delete_dataset_handler _delete_dataset_records_handler
        _delete_dataset_tag_handler _set_dataset_tags_handler _upsert_dataset_records_handler
        _add_dataset_to_experiments_handler _remove_dataset_from_experiments_handler
        _register_scorer _delete_scorer _upsert_online_scoring_config
        """,
    ),
    **_all(
        Kind.RECORD,
        """
        _log_batch _log_inputs _log_metric _log_model _log_outputs _log_param _set_tag _delete_tag _update_run
        _restore_run _log_logged_model_params _set_logged_model_tags _delete_logged_model_tag
        _finalize_logged_model
        """,
    ),
    **_all(Kind.CREATOR, "_create_run serve_create_promptlab_run _create_logged_model"),
    **_all(
        Kind.REGISTRY,
        """
        _create_registered_model _update_registered_model _rename_registered_model _delete_registered_model
        _set_registered_model_tag _delete_registered_model_tag _set_registered_model_alias
        _delete_registered_model_alias _update_model_version _transition_stage _delete_model_version
        _set_model_version_tag _delete_model_version_tag
        """,
    ),
    **_all(Kind.SOURCE, "_create_model_version"),
    **_all(
        Kind.ARTEFACTS,
        """
        serve_upload_artifact _upload_artifact _delete_artifact_mlflow_artifacts _create_multipart_upload_artifact
        _complete_multipart_upload_artifact _abort_multipart_upload_artifact _create_presigned_upload_url
        """,
    ),
    **_all(Kind.LINEAGE, "_delete_run _delete_experiment _delete_logged_model"),
    **_all(
        Kind.ACCOUNTS,
        """
        create_user update_user_password update_user_admin delete_user
        create_role update_role delete_role add_role_permission remove_role_permission update_role_permission
        assign_role unassign_role grant_user_permission revoke_user_permission
        _create_webhook _update_webhook _delete_webhook _test_webhook
        _create_workspace_handler _update_workspace_handler _delete_workspace_handler
        _create_budget_policy _update_budget_policy _delete_budget_policy
        _create_gateway_endpoint _update_gateway_endpoint _delete_gateway_endpoint
        _create_gateway_endpoint_binding _delete_gateway_endpoint_binding _set_gateway_endpoint_tag
        _delete_gateway_endpoint_tag _attach_model_to_gateway_endpoint _detach_model_from_gateway_endpoint
        _create_gateway_guardrail _delete_gateway_guardrail _add_guardrail_to_endpoint
        _remove_guardrail_from_endpoint _update_endpoint_guardrail_config _create_gateway_model_definition
        _update_gateway_model_definition _delete_gateway_model_definition _create_gateway_secret
        _update_gateway_secret _delete_gateway_secret
        """,
    ),
    SIGN_UP: Kind.ACCOUNTS,
    # Jobs, scorers and the demo run code in the server, or in a process that writes straight to its database.
    **_all(
        Kind.REFUSED,
        """
        _generate_demo _delete_demo _cancel_job _create_prompt_optimization_job _cancel_prompt_optimization_job
        _delete_prompt_optimization_job _invoke_genai_evaluate_handler _invoke_issue_detection_handler
        _invoke_scorer_handler
        """,
    ),
}
"""MLflow's Flask endpoints, with those that basic-auth adds."""

FASTAPI: dict[str, Kind] = {
    **_all(
        Kind.READ,
        """
        health get_server_info get_job search_jobs list_models
        stream_response provider_health_check get_providers get_config list_provider_models
        search_mcp_servers search_all_access_endpoints get_mcp_server_version search_mcp_server_versions
        get_mcp_access_endpoint search_server_access_endpoints get_version_by_alias get_mcp_server
        """,
    ),
    **_all(Kind.FILE_READ, "download_artifact"),
    **_all(
        Kind.OPEN,
        """
        export_traces invocations chat_completions openai_passthrough_chat openai_passthrough_embeddings
        typesafe_passthrough_system_one openai_passthrough_responses openai_passthrough_responses_compact
        anthropic_passthrough_messages gemini_passthrough_generate_content
        gemini_passthrough_stream_generate_content raw_proxy
        create_mcp_server update_mcp_server delete_mcp_server set_mcp_server_tag delete_mcp_server_tag
        set_mcp_server_alias delete_mcp_server_alias create_mcp_server_version update_mcp_server_version
        delete_mcp_server_version set_mcp_server_version_tag delete_mcp_server_version_tag
        create_mcp_access_endpoint update_mcp_access_endpoint delete_mcp_access_endpoint
        """,
    ),
    **_all(Kind.ARTEFACTS, "upload_artifact"),
    # The assistant runs a shell on the server's machine, and jobs run there too.
    **_all(
        Kind.REFUSED,
        """
        submit_job cancel_job send_message patch_session resolve_permission resolve_client_tool_result
        update_config install_skills_endpoint
        """,
    ),
}
"""MLflow's FastAPI endpoints, which Flask never sees."""

GRAPHQL_MUTATIONS = frozenset({"testMutation", "mlflowSearchDatasets", "mlflowSearchRuns"})
"""The mutations of MLflow's GraphQL, none of which changes anything (an echo, and searches of the UI); any other
one is refused."""


def kind_of(endpoint: str, method: str, table: dict[str, Kind]) -> Kind:
    """What an endpoint changes; one that is not in the table may only read.

    Parameters
    ----------
    endpoint : str
        Name of the handler, such as ``_transition_stage``.
    method : str
        HTTP method, in capitals.

    Examples
    --------
    >>> kind_of("_transition_stage", "POST", FLASK)
    <Kind.REGISTRY: 'registry'>
    >>> kind_of("_crown_model", "POST", FLASK)
    <Kind.REFUSED: 'refused'>
    """
    if endpoint.startswith(PAGES):
        # every browser first asks without its log-in: that is nobody's try to change anything
        return Kind.READ if method in SAFE_METHODS else Kind.OPEN
    safe = Kind.READ if method in SAFE_METHODS else Kind.REFUSED
    return table.get(endpoint, safe)


def unclassified(endpoints: Iterable[str], table: dict[str, Kind]) -> list[str]:
    """The endpoints that the table does not know, sorted."""
    return sorted({name for name in endpoints if not name.startswith(PAGES)} - set(table))
