"""A catalogue overnight: many pairs, nothing lost, nothing computed twice.

manifest    rows of persons and garments, from CSV, JSONL, Parquet or two folders
plan        what of them is to be done, under which content address, in which order
engine      what carries it out: `Engine`, tasks in, finished rows out
local       this process, or one process for each GPU
ray_engine  a Ray cluster; ray_worker: what runs in its actors
servers     ComfyUI servers: `server_rows` has a row done by one (`server_state`) over
            `comfyui_client`
api_workflow  where a row's values go in a workflow; exchange: pictures and errors to and fro
worker      the work of one process: dresses tasks in batches, writes results
warm cache  what is made of a person and of a garment, kept in memory and on disk
results     pictures by content address; ledger: what became of every row
run         one run from plan to failures.jsonl; check: reads all first; report: contact sheet
storage     local paths and fsspec's addresses, read and written whole
"""
